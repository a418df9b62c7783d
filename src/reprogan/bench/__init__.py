"""How fast this is, and how near to what the machine can do: `reprogan bench`.

One file a topic (`TOPICS` in harness.py), each of which measures in processes of its own and gives rows; side.py is one
measurement of a training, plain*.py the loops that people write today.
"""
