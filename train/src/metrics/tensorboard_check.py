"""PyPI's tensorboard as the judge of our event files.

usage: tensorboard_check.py golden   prints the bytes that its writer makes of the event in tensorboard.rs
       tensorboard_check.py RUN      prints the scalars it reads in a run folder, {tag: [[step, value], ..]}

Exit code 77: the package is missing.
"""

import io
import json
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
except ImportError as error:
    print(f"{error}: pip install tensorboard")
    sys.exit(77)


def golden():
    values = [Summary.Value(tag="loss", simple_value=0.25), Summary.Value(tag="probe/knn20", simple_value=-1.5)]
    event = Event(wall_time=1.5e9, step=300, summary=Summary(value=values))
    out = io.BytesIO()
    RecordWriter(out).write(event.SerializeToString())
    print(out.getvalue().hex())


def scalars(run):
    events = EventAccumulator(run, size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags}))


if __name__ == "__main__":
    golden() if sys.argv[1] == "golden" else scalars(sys.argv[1])
