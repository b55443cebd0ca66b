"""Checkpoints of darts-pt and AutoDL: the same function after conversion, the same selection, what is refused."""

import hashlib
import json
import os
import pickle

import pytest
import torch

from benchbed.checkpoints import reading_room
from benchbed.checkpoints.nb201 import converted, names
from benchbed.checkpoints.reading_room import read
from benchbed.checkpoints.source import parsed
from benchbed.errors import BenchbedError
from benchbed.layers.plan import plan
from benchbed.runtime.folder import load_checkpoint
from benchbed.spaces.nb201.space import NB201
from benchbed.spaces.nb201.supernet import NB201Supernet

LAYOUTS = ["darts-pt", "AutoDL", "NATS"]


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """A process of its own takes three seconds: those whose name says so have one, the others read here."""
    reading_room._last.clear()
    if "process" not in request.node.name:
        monkeypatch.setattr(reading_room, "in_child", parsed)


def test_a_process_of_its_own_reads_the_same(saved):
    for layout in LAYOUTS:
        file, _ = saved(layout)
        apart, here = read(file), parsed(file, file.read_bytes(), hashlib.sha256(file.read_bytes()).hexdigest())
        assert apart.config == here.config
        torch.testing.assert_close(apart.alpha, here.alpha, rtol=0, atol=0)
        for theirs, ours in ((apart.weights, here.weights), (apart.adam or {}, here.adam or {})):
            torch.testing.assert_close(theirs, dict(ours), rtol=0, atol=0)


def test_what_a_file_does_to_the_process_stays_in_it(saved, tmp_path):
    """A tensor of 40 bytes that is 4 TB where it is used, a name that is no checkpoint's, and no file at all."""
    huge = torch.ones(1).expand(10**12)
    file, _ = saved("darts-pt", change=lambda tree: tree["state_dict"].update({"classifier.bias": huge}))
    with pytest.raises(BenchbedError, match="is damaged or no checkpoint of torch"):
        read(file)
    file, _ = saved("darts-pt", change=lambda tree: tree.update(scheduler=Evil(tmp_path / "run")))
    with pytest.raises(BenchbedError, match=r"holds posix.mkdir, which no checkpoint of darts-pt or AutoDL needs"):
        read(file)
    assert not (tmp_path / "run").exists()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BenchbedError, match="it is a named pipe, expected a regular file"):
        read(tmp_path / "pipe")


def gates_of(kind):
    g = torch.Generator().manual_seed(3)
    if kind == "mixture":
        return torch.randn(6, 5, generator=g).softmax(1)
    if kind == "masked":
        masked = torch.randn(6, 5, generator=g).softmax(1)
        masked[2, 3], masked[4, 0] = 0, 0
        return masked
    return torch.eye(5)[torch.tensor([3, 2, 1, 4, 0, 2])]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["alpha", "mixture", "masked", "path"])
def test_the_logits_are_the_official_modules(saved, layout, kind):
    file, module = saved(layout, cells=2, classes=7, in_channels=3)
    foreign = read(file)
    ours = NB201Supernet(4, 2, 7, 3)
    ours.load_state_dict(converted(foreign))
    ours, module = ours.double(), module.double()
    gates = foreign.alpha.double().softmax(1) if kind == "alpha" else gates_of(kind).double()
    images = torch.randn(9, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = module(images, module.alphas.double().softmax(1) if kind == "alpha" else gates)
        found = ours(images.to(memory_format=torch.channels_last), gates, plan(gates))
    assert expected.std() > 0.01
    assert (found - expected).abs().max() < 1e-10


def test_every_weight_of_the_published_supernet_is_taken_over(saved):
    """1,686,106 parameters at C=16, N=5, ten classes (section 2.1)."""
    file, _ = saved("darts-pt", channels=16, cells=5, classes=10, in_channels=3)
    found = converted(read(file))
    assert sum(value.numel() for value in found.values()) == 1_686_106
    assert found.keys() == NB201Supernet().state_dict().keys() == names(5).keys()
    assert len(set(names(5).values())) == len(names(5))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_read_of_a_file(saved, layout):
    file, module = saved(layout, channels=2, cells=2)
    foreign = read(file)
    c = foreign.config
    assert (c.channels, c.cells, c.classes, c.in_channels) == (2, 2, 4, 1)
    assert (c.layout, c.epochs) == (("darts-pt", 100) if layout == "darts-pt" else ("AutoDL", 50))
    assert torch.equal(foreign.alpha, module.alphas.detach())
    assert float(foreign.adam["step"]) == 1
    assert torch.allclose(foreign.adam["exp_avg"], 0.5 * (module.alphas.grad + 1e-3 * foreign.alpha), atol=1e-5)
    assert not any("running" in key or "arch_parameters" in key for key in foreign.weights)


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def flags(tiny_file):
    sizes = ["supernet.eval_batch=100", "supernet.batch=40", "supernet.valid_batch=40", "scoring.channels=2",
             "scoring.epochs=1", "scoring.batch=40"]  # fmt: skip
    return ["--task", f"npz:{tiny_file}", *(x for s in sizes for x in ("--set", s))]


def records(out):
    return [json.loads(p.read_text()) for p in sorted(out.glob("*/record.json"))]


@pytest.mark.parametrize("layout", ["darts-pt", "NATS"])
def test_perturbation_and_magnitude_choose_what_the_official_module_would(command, saved, flags, tmp_path, layout):
    """DARTS-PT, section 3.1, by hand: mask each operation, keep the one whose loss is the greatest; no tuning."""
    from benchbed.tasks.load import load_task

    file, module = saved(layout)
    out = tmp_path / "out"
    more = ["--set", "selector.interval=0", "--set", "selector.criterion=loss", "--set", "selector.order=forward"]
    done = command(
        "select", "--foreign", file, "--selector", "perturb,magnitude", *flags, *more, "--out", out, "--quiet"
    )
    assert done.status == 0, done.err
    found = {r["selector"]: r for r in records(out)}
    assert found["perturb"]["search"] == found["magnitude"]["search"]

    valid, weights = load_task(flags[1]).valid, module.alphas.detach().softmax(1)
    assert found["magnitude"]["architecture"] == str(NB201().architecture_of(tuple(weights.argmax(1).tolist())))
    for edge in range(6):
        losses = []
        for operation in range(5):
            masked = weights.clone()
            masked[edge, operation] = 0
            with torch.no_grad():
                logits = module(valid.images, masked)
            losses.append(float(torch.nn.functional.cross_entropy(logits, valid.labels)))
        assert found["perturb"]["scores"][edge] == pytest.approx(losses, abs=2e-5)
        weights[edge] = torch.eye(5)[int(torch.tensor(losses).argmax())]
    assert found["perturb"]["architecture"] == str(NB201().architecture_of(tuple(weights.argmax(1).tolist())))
    assert found["perturb"]["config"]["foreign"]["file"] == str(file)


def test_alphas_optimiser_goes_on_where_it_stood(command, saved, flags, tmp_path):
    """Section 3.3: Adam continues from the checkpoint; the weights' optimiser is a fresh one."""
    file, _ = saved("darts-pt")
    out = tmp_path / "out"
    assert command("select", "--foreign", file, "--selector", "magnitude", *flags, "--out", out, "--quiet").status == 0
    (search,) = (out / "searches").iterdir()
    parts = load_checkpoint(search / "checkpoint.pt")["tree"]["parts"]
    (slot,) = parts["searcher"]["optimiser"]["state"].values()
    assert float(slot["step"]) == 1
    assert torch.equal(slot["exp_avg_sq"], read(file).adam["exp_avg_sq"])
    assert parts["objective"]["optimiser"]["state"] == {}


def test_its_search_takes_other_selectors_also_without_the_file(command, saved, flags, tmp_path):
    file, _ = saved("AutoDL")
    out = tmp_path / "out"
    first = ["select", "--foreign", file, "--selector", "magnitude", *flags, "--out", out, "--quiet"]
    assert command(*first).status == 0
    assert "done before" not in command(*first).err
    (search,) = (out / "searches").iterdir()
    file.unlink()
    tuned = ("--set", "selector.interval=1", "--set", "selector.draws=2")
    again = command("select", search, "--selector", "perturb", *tuned)
    assert again.status == 0, again.err
    assert {r["selector"] for r in records(out)} == {"magnitude", "perturb"}
    assert len(list((out / "searches").iterdir())) == 1


def test_the_content_names_the_search_and_a_search_of_ours_is_another(saved, tiny):
    from benchbed.pipeline.resolve import resolve

    one, _ = saved("darts-pt", channels=2)
    two, _ = saved("AutoDL", name="other.pth", channels=2)
    raw = {key: value for key, value in tiny.items() if key != "epochs"}
    keys = [resolve({**raw, "foreign": str(f)}, "darts", "magnitude", 0).search_key() for f in (one, two)]
    own = resolve(raw, "darts", "magnitude", 0).search_key()
    assert "foreign" not in own
    assert keys[0] != keys[1]
    moved = one.rename(one.with_name("moved.pth"))
    assert resolve({**raw, "foreign": str(moved)}, "darts", "magnitude", 0).search_key() == keys[0]


# -- refusals --------------------------------------------------------------------------------------------------------


def drop(key):
    return lambda tree: tree["state_dict"].pop(key)


def put(key, value):
    return lambda tree: tree["state_dict"].__setitem__(key, value)


def moment(key, value):
    return lambda tree: tree["arch_optimizer"]["state"][0].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("cells.0.edges.2<-1.3.op.1.weight"), "it lacks 'cells.0.edges.2<-1.3.op.1.weight'"),
        (drop("classifier.bias"), "it lacks 'classifier.bias'"),
        (drop("classifier.weight"), "has no 'classifier.weight'"),
        (put("cells.0.edges.1<-0.0.op.1.weight", torch.ones(2)), "has beside them 'cells.0.edges.1<-0.0.op.1.weight'"),
        (put("stem.1.weight", torch.ones(3)), "'stem.1.weight' is (3,), a NAS-Bench-201 supernet of C=4 has (4,)"),
        (put("classifier.bias", torch.full((4,), torch.nan)), "'classifier.bias' is not finite"),
        (put("cells.9.preprocess0.op.1.weight", torch.ones(2)), "it stacks 6 blocks, NAS-Bench-201 3N + 2"),
        (
            lambda tree: tree.update(alpha=[torch.zeros(14, 7), torch.zeros(14, 7)]),
            "no alpha of one cell under 'alpha'",
        ),
        (
            lambda tree: tree.update(alpha=[torch.zeros(6, 2)]),
            "alpha has 6 edges with 2 operations, NAS-Bench-201 has 6",
        ),
        (lambda tree: tree.update(alpha=[torch.full((6, 5), torch.inf)]), "'alpha' is not finite in float32"),
        (
            lambda tree: tree.update(alpha=[torch.full((6, 5), 1e300, dtype=torch.float64)]),
            "'alpha' is not finite in float32",
        ),
        (lambda tree: tree.update(alpha=[torch.zeros(6, 5).to_sparse()]), "'alpha' is sparse: expected a dense"),
        (lambda tree: tree.update(alpha=[torch.zeros(6, 5) + 1j]), "'alpha' is complex"),
        (put("classifier.bias", torch.zeros(4) + 1j), "'state_dict.classifier.bias' is complex"),
        (put("classifier.bias", torch.zeros(4).to_sparse()), "'state_dict.classifier.bias' is sparse"),
        (put("classifier.bias", torch.zeros(4, device="meta")), "'state_dict.classifier.bias' is without data (meta)"),
        (put(3, torch.zeros(4)), "its state_dict is not a dict of tensors by name"),
        (moment("step", "abc"), "'arch_optimizer.step' is 'abc': expected a number of steps, 1 or more"),
        (moment("step", torch.ones(3)), "'arch_optimizer.step' is 'tensor([1., 1., 1.])'"),
        (moment("step", -5), "'arch_optimizer.step' is '-5'"),
        (moment("step", float("nan")), "'arch_optimizer.step' is 'nan'"),
        (moment("exp_avg", torch.full((6, 5), torch.nan)), "'arch_optimizer.exp_avg' is not finite"),
        (moment("exp_avg_sq", torch.full((6, 5), -1.0)), "'arch_optimizer.exp_avg_sq' is negative"),
        (lambda tree: tree.pop("state_dict"), "is not a checkpoint of a known layout, it holds alpha, arch_optimizer"),
        (lambda tree: tree.update(state_dict=[1]), "its state_dict is not a dict of tensors"),
    ],
)
def test_checkpoints_of_another_space_or_with_other_keys(refused, saved, flags, change, words):
    file, _ = saved("darts-pt", change=change)
    said = refused("select", "--foreign", file, "--selector", "magnitude", *flags)
    assert words in said
    assert str(file) in said


@pytest.mark.parametrize(
    ("sizes", "more", "words"),
    [
        ({"classes": 10}, [], "has 10 classes, task 'npz:tiny.npz' 4: give the --task that it was trained on"),
        ({"in_channels": 3}, [], "has 3 input channels, task 'npz:tiny.npz' 1"),
        ({"affine": True}, [], "it has beside them 'cells.0.edges.1<-0.2.op.2.bias' and 71 more"),
        ({}, ["--set", "supernet.channels=16"], "supernet.channels = 16: the supernet of"),
        ({}, ["--space", "nb201-untied"], "checkpoints of space 'nb201' are known, not of 'nb201-untied'"),
        ({}, ["--searcher", "random"], "has no alpha to take over"),
    ],
)
def test_checkpoints_that_do_not_fit(refused, saved, flags, sizes, more, words):
    file, _ = saved("darts-pt", **sizes)
    assert words in refused("select", "--foreign", file, "--selector", "magnitude", *flags, *more)


def test_select_takes_one_of_both(refused, saved, tmp_path):
    file, _ = saved("darts-pt")
    for arguments in ((), (tmp_path, "--foreign", file)):
        assert "or --foreign FILE, and not both" in refused("select", *arguments, "--selector", "magnitude")


def test_damaged_files(refused, tmp_path, flags):
    for name, content in (("empty", b""), ("text", b"no checkpoint" * 50)):
        file = tmp_path / name
        file.write_bytes(content)
        said = refused("select", "--foreign", file, "--selector", "magnitude", *flags)
        assert "is damaged or no checkpoint of torch" in said
    assert "cannot read" in refused("select", "--foreign", tmp_path / "none", "--selector", "magnitude", *flags)


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_nothing_of_a_file_is_run(saved, tmp_path):
    """Pitfall 26: the namespace and the cells are read, any other type is named."""
    mark = tmp_path / "run"
    file, _ = saved("darts-pt", change=lambda tree: tree.update(scheduler=Evil(mark)))
    with pytest.raises(BenchbedError, match=r"holds posix.mkdir, which no checkpoint of darts-pt or AutoDL needs"):
        read(file)
    assert not mark.exists()
    file.write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(BenchbedError):
        read(file)
    assert not mark.exists()
