"""These are a package of somebody else: its tests run where it is installed, by test_foreign_package.py."""

collect_ignore = ["pottery"]
