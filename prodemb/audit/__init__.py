"""The audit: supplied values and gold labels that confident answers of the heads contradict."""
