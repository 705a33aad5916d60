"""Fuzzing of whatever takes bytes from outside: `make fuzz`, and `test_fuzz.py`.

A target takes any bytes and returns; what its oracle forbids, it raises. The same
targets run under atheris, guided by coverage (`python -m tests.fuzz`), and in the test
suite over their seeds and seeded mutations of them (`mutation`). Most targets read the
fuzzer's bytes as a script (`draw`), so that a mutation changes what is done instead of
breaking a seal.
"""
