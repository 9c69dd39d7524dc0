"""The participant's side: check, upload, submit and follow, from the command line or a script."""
