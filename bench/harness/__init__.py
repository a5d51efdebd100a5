"""What `bench/run.py` is made of; `bench/README.md` says what is measured and how."""
