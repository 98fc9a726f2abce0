"""Valid [cluster] and [grow] tables of study files, for hypothesis."""

from hypothesis import strategies as st

label_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?", fullmatch=True)
label_keys = label_names | label_names.map(lambda name: f"example.com/{name}")
object_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,5})?", fullmatch=True)
images = st.from_regex(r"[a-z0-9]{1,8}(\.example(:[0-9]{1,5})?)?(/[a-z0-9]{1,8}){1,2}(:[A-Za-z0-9_]{1,9})?",
                       fullmatch=True)
quantities = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 9999), st.sampled_from(["Mi", "Gi", "Ti", "G", "T"])
                       ) | st.just("1.5Gi")
paths = st.from_regex(r"/data(/[A-Za-z0-9_-]{1,9}){0,3}", fullmatch=True)
tolerations = st.one_of(
    st.fixed_dictionaries({"key": label_keys}, optional={
        "value": label_names, "effect": st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])}),
    st.fixed_dictionaries({"operator": st.just("Exists")}, optional={"key": label_keys}),
    st.fixed_dictionaries({"key": label_keys, "effect": st.just("NoExecute"),
                           "tolerationSeconds": st.integers(0, 999)}))


def cluster_tables() -> st.SearchStrategy[dict]:
    """Packs are for members that one process trains; with GPUs each process has one."""
    one_process = {"nodes": 1, "processes": 1, "gpus": 1}
    return st.builds(lambda table, most: table if most == 1 else {
        **table, **{key: 1 for key in one_process if key in table}, "members_per_job": most},
        _tables_of_members().map(_with_a_gpu_each), st.sampled_from([1, 1, 2, 64]))


def _with_a_gpu_each(table: dict) -> dict:
    return {**table, "gpus": max(table["gpus"], table.get("processes", 1))} if table.get("gpus") else table


def _tables_of_members() -> st.SearchStrategy[dict]:
    volumes = st.fixed_dictionaries({"claim": object_names}, optional={"path": paths})
    return st.fixed_dictionaries({}, optional={
        "torch_image": images, "image": images, "members_at_a_time": st.integers(1, 100),
        # Powers of two, so that they divide a batch.
        "nodes": st.sampled_from([1, 2, 4, 64]), "processes": st.sampled_from([1, 2, 4, 64]),
        "cpus": st.floats(0.1, 1024), "memory": quantities, "gpus": st.integers(0, 8),
        "gpu_resource": st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]), "scratch": quantities,
        "shared_memory": quantities,
        "node_selector": st.dictionaries(label_keys, label_names | st.just(""), max_size=2),
        "tolerations": st.lists(tolerations, max_size=2), "priority_class": object_names, "queue": label_names,
        "spot": st.sampled_from(["gke", "eks", "aks"]), "deadline_seconds": st.integers(1, 10**6),
        "failed_ttl_seconds": st.integers(0, 10**6), "cache_claim": object_names, "data": volumes})


def grow_tables() -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional={
        "seeds": st.integers(1, 100), "until_width": st.floats(0.001, 0.5), "max_seeds": st.integers(1, 100)})
