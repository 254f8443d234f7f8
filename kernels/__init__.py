"""CUDA kernels, installed as lettergpu.kernels. There are none yet."""
