"""The machine as it is: packages by what they are for, and a device that multiplies."""

from importlib import metadata

from prodemb.job.machine import look_at_machine, packages_of


def test_packages_come_with_their_versions_and_extras() -> None:
    found = packages_of(
        [
            "numpy>=1.26",
            "torch>=99",
            "nothing-like-it>=2; extra == 'fast'",
            'ruff>=0.17; extra == "dev"',
            'pytest; extra == "bench"',
        ]
    )
    numpy, torch, missing = found
    assert (numpy.name, numpy.version, numpy.extra, numpy.fits) == ("numpy", metadata.version("numpy"), None, True)
    assert (torch.name, torch.wanted, torch.fits) == ("torch", ">=99", False)
    assert (missing.version, missing.extra, missing.fits) == (None, "fast", False)


def test_the_cpu_multiplies_and_memory_is_what_there_is() -> None:
    machine = look_at_machine("cpu")
    (device,) = machine.devices
    assert device.name == "cpu"
    assert device.model
    assert device.num_cores is not None
    assert device.num_cores >= 1
    assert device.memory is None
    assert device.flops.keys() == {"float32", "bfloat16"}
    assert 1e8 < min(device.flops.values()) <= device.flops[device.dtype] * 50
    assert machine.free_memory is None or 0 < machine.free_memory <= machine.memory
    assert machine.max_open_files is None or machine.max_open_files > 0
