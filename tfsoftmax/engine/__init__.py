"""The compiled programs: the only folder that knows TensorFlow.

Nothing is imported here, so that the tables of this folder can be read without it.
"""
