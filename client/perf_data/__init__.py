"""Input data for the load generators of Triton, perf_analyzer and model_analyzer."""
