"""Whether a step is done already: the hash of everything it depends on, kept beside what it made.

An artefact (a shard, a head, a checkpoint, a predictions file) holds the `inputs_hash` of its contents and settings. A
step computes that hash from what is there now and is skipped where the artefact is whole and holds the same one.
"""

import hashlib
import json
from typing import Any


def inputs_hash(**inputs: Any) -> str:
    """16 hexadecimal digits of a SHA-256 over named JSON values; the order of names does not matter.

    Name files by their checksums, other artefacts by their own `inputs_hash`, and leave out what does not decide the
    result, such as where it lies or how much memory may be used.
    """
    canonical = json.dumps(inputs, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
