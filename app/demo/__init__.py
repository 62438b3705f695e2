"""What `tidemark run` starts beside the server: child processes under one supervisor, and a live stream to look at."""
