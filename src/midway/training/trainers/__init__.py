"""Who trains: one folder a trainer, each behind `train(job)`."""
