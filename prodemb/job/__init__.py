"""The steps of the main job, each of which skips what an earlier run has finished."""
