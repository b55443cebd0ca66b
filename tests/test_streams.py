"""Streams: independent by name, fixed by the seed, restored exactly, also those not yet drawn from."""

import torch

from benchbed.streams import Streams, derive, seeded


def draw(streams, name, n=4):
    return torch.rand(n, generator=streams.generator(name)).tolist()


def test_a_stream_depends_on_the_seed_and_its_name_alone():
    one, two = Streams(3), Streams(3)
    draw(two, "other")
    assert draw(one, "gates") == draw(two, "gates")
    assert draw(Streams(3), "gates") != draw(Streams(4), "gates")
    assert draw(Streams(3), "gates") != draw(Streams(3), "selection")


def test_seeds_are_63_bit_and_differ():
    seeds = {derive(seed, name) for seed in range(50) for name in ("gates", "selection")}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_restored_stream_goes_on_where_it_stood_in_the_same_generator():
    streams = Streams(0)
    held, _ = streams.generator("gates"), draw(streams, "gates")
    state = streams.state()
    expected = draw(streams, "gates")
    streams.load_state(state)
    assert torch.rand(4, generator=held).tolist() == expected


def test_a_stream_that_the_state_does_not_know_stands_at_its_start_again():
    streams, untouched = Streams(0), Streams(0)
    draw(streams, "gates")
    state = streams.state()
    draw(streams, "selection")
    streams.load_state(state)
    assert draw(streams, "selection") == draw(untouched, "selection")


def test_numpy_generators_follow_the_stream():
    one, two = Streams(1), Streams(1)
    assert one.numpy("selection").random() == two.numpy("selection").random()
    assert one.numpy("selection").random() != one.numpy("selection").random()


def test_the_global_generator_is_lent_and_given_back():
    before = torch.get_rng_state()
    lent = []
    for _ in range(2):
        with seeded(Streams(5).generator("initialisation")):
            lent.append(torch.rand(3).tolist())
    assert lent[0] == lent[1]
    assert torch.equal(before, torch.get_rng_state())
