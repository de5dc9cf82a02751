"""Batches of one model divided among single-threaded processes, where these are faster than threads of one process.

Threads of one operation wait for each other in each of the thousands of operations of a model call; processes with structures of their own do not.
:mod:`.divided` is the force field that divides its batches, :mod:`.helper` the process that serves a part of them, :mod:`.connection` the side of the
process that started it, and :mod:`.measured` measures what is faster on this machine.
"""
