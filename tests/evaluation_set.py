"""An evaluation set in the official layout: anonymous test clips, and their truth in both forms."""

import numpy as np

from conftest import write_machine

MACHINES = ("drill", "lathe")
NAMED = "section_00_{}_test_{}_{:04d}_noAttribute.wav"


def make(root, machines=MACHINES, seed=5):
    """`eval_data/raw`, `ground_truth` (three folders), `eval_data_list_2026.csv` in `root`."""
    lines = []
    rng = np.random.default_rng(seed)
    for number, machine in enumerate(machines):
        write_machine(root / "eval_data/raw", machine, seed + number, source=8, target=3, test=3)
        test = root / "eval_data/raw" / machine / "test"
        files = sorted(test.iterdir())
        lines.append(machine)
        rows = {"data": [], "domain": [], "attributes": []}
        # As published: the number of a clip tells nothing.
        for place, file in enumerate(rng.permutation(len(files))):
            name, old = f"section_00_{place:04d}.wav", files[file].name
            files[file].rename(test / name)
            lines.append(f"{name},{old}")
            rows["data"].append(f"{name},{int('anomaly' in old)}")
            rows["domain"].append(f"{name},{int('target' in old)}")
            rows["attributes"].append(f"{name},{old.removesuffix('.wav')}")
        for kind, told in rows.items():
            place = root / "ground_truth" / f"ground_truth_{kind}"
            place.mkdir(parents=True, exist_ok=True)
            name = f"ground_truth_{machine}_section_00_test.csv"
            (place / name).write_text("\n".join(told) + "\n")
    (root / "eval_data_list_2026.csv").write_text("\n".join(lines) + "\n")
    return root
