"""Keeps a frame time by switching between the sub-networks of a bundle; copy it.

After each frame, `update` gets the time of the signature `names[controller.level]`:

    names, costs = read_slices("resnet20_bundle_int8.slices.json")
    controller = Controller(costs, budget=0.010)
    controller.update(time)
"""

import json
import pathlib


class Controller:
    """Chooses the sub-network for the next frame.

    It switches to a cheaper one as soon as a frame would take too long, and to a more
    expensive one only after `patience` frames with enough room for it. `costs` of the
    sub-networks are in any unit, the most expensive first; `budget` is the maximum time
    of a frame.
    """

    def __init__(self, costs, budget, patience=20, room=0.85):
        self.costs, self.budget = list(costs), budget
        self.patience, self.room = patience, room
        self.level = self.waited = 0
        self.pace = None  # Time per unit of cost, a moving average.

    def update(self, time):
        """Takes the time of a frame; returns the number of the next sub-network."""
        pace = time / self.costs[self.level]
        self.pace = pace if self.pace is None else 0.7 * self.pace + 0.3 * pace
        fits = self._largest_within(self.budget)
        if fits > self.level:  # A cheaper one.
            self.level, self.waited = fits, 0
        elif self._largest_within(self.room * self.budget) < self.level:
            self.waited += 1
            if self.waited >= self.patience:
                self.level, self.waited = self.level - 1, 0
        else:
            self.waited = 0
        return self.level

    def _largest_within(self, time):
        levels = range(len(self.costs))
        fitting = [n for n in levels if self.costs[n] * self.pace <= time]
        return min(fitting, default=len(self.costs) - 1)


def read_slices(path, device=None):
    """The names of a bundle's signatures and their costs, the most expensive first.

    Costs are latencies on a device that the bundle was measured on, or else FLOPs.
    """
    slices = json.loads(pathlib.Path(path).read_text())
    costs = {
        one["signature"]: one["latency_ms"][device] if device else one["flops"]
        for one in slices
    }
    if None in costs.values():
        raise ValueError(f"{path} has no FLOPs: give a device that it was measured on.")
    names = sorted(costs, key=costs.__getitem__, reverse=True)
    return names, [costs[name] for name in names]
