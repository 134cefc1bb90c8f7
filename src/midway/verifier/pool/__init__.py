"""Worker processes that can be killed: for what may hang, eat memory or crash."""
