"""A script as NATS-Bench's users write it, which knows nothing of benchbed: `nats.py FOLDER`."""

import random
import sys

from nats_bench import create

api = create(sys.argv[1], "tss", fast_mode=True, verbose=False)
print("valid %  test %  seconds")
for index in (0, 11, 284):
    info = api.get_more_info(index, "cifar100", hp="200", is_random=False)
    print(f"{info['valid-accuracy']:7.2f} {info['test-accuracy']:7.2f} {info['train-all-time']:8.0f}  {api[index]}")
random.seed(0)
accuracy, _, seconds, _ = api.simulate_train_eval(284, "cifar10", hp="12")
print(f"one simulated training of cell 284, 12 epochs: {accuracy:.2f} % after {seconds:.0f} s")
