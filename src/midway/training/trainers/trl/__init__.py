"""TRL: SFTTrainer for mid-training, GRPOTrainer for RL."""
