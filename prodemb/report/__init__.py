"""The report: what a run took in, learned and answered, as data and as one HTML page."""
