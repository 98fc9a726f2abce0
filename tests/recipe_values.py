"""Values of [recipe] of study files, for hypothesis."""

from hypothesis import strategies as st

counts = st.integers(1, 100_000)
shares = st.floats(0.001, 0.999)
seeds = st.integers(0, 9_999_999)


def optional(**values: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=values)


recipe_values = optional(
    epochs=counts, batch_size=counts, learning_rate=st.floats(1e-6, 1e3), momentum=st.floats(0, 0.999),
    weight_decay=st.floats(0, 1), schedule=st.sampled_from(["one-cycle", "step"]), warmup=shares,
    milestones=st.lists(shares, unique=True, max_size=4).map(sorted), decay=shares, label_smoothing=st.floats(0, 0.99),
    ema=st.floats(0, 0.9999), crop_padding=st.integers(0, 64), flip=st.booleans(), cutout=st.integers(0, 64),
    precision=st.sampled_from(["auto", "bfloat16", "float32"]), input_size=st.integers(8, 600),
    crop_scale=st.floats(0.01, 1))
