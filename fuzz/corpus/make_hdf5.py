"""Makes the HDF5 seeds of the fuzz corpus: pip install h5py numpy; python make_hdf5.py"""

import os

import h5py
import numpy as np

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5")
data = np.arange(3 * 4 * 3, dtype=np.float32).reshape(3, 4, 3)
for name, options in {"contiguous": {}, "gzip_shuffle": dict(chunks=(2, 4, 3), compression="gzip", shuffle=True)}.items():
    with h5py.File(os.path.join(folder, f"{name}.h5"), "w") as file:
        file.create_dataset("data", data=data, **options)
        file.create_dataset("label", data=np.array([[1], [2], [3]], np.uint8))
