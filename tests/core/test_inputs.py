from prodemb.core.inputs import inputs_hash


def test_equal_inputs_have_one_hash_and_others_another() -> None:
    assert inputs_hash(rows=["a", "b"], size=1) == inputs_hash(size=1, rows=["a", "b"])
    assert inputs_hash(rows=["a", "b"], size=1) != inputs_hash(rows=["b", "a"], size=1)
    assert inputs_hash(rows=None) != inputs_hash()
    assert len(inputs_hash(name="ä")) == 16
