"""What brings the project onto machines: the demonstration (``make run``) and the files of an installation on a director."""
