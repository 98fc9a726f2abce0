"""The target `cluster`: members as PyTorchJobs, the last steps as Jobs, followed to their end.

Only `api` imports the Kubernetes client; everything else speaks through its KubernetesApi in plain dicts.
"""
