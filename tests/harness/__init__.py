"""What the tests stand on: real servers in private folders, their error logs, clients and interpreters."""
