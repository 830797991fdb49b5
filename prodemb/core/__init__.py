"""The ground floor: errors, files, settings, devices and the seven features."""
