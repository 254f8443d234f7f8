"""CUDA C++ as package data; see README.md beside this file."""
