"""Registered versions: in MLflow on this machine, as model packages in an account; model cards."""
