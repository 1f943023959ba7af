"""Registered versions: MLflow's registry on this machine, model packages in an account, model cards."""
