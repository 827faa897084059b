// Keeps a frame time by switching between the sub-networks of a bundle; copy it.

// It switches to a cheaper one as soon as a frame would take too long, and to a more
// expensive one only after `patience` frames with enough room for it. `costs` of the
// sub-networks are in any unit, the most expensive first; `budget` is the maximum time of
// a frame.
export class Controller {
  constructor(costs, budget, {patience = 20, room = 0.85} = {}) {
    Object.assign(this, {costs, budget, patience, room, level: 0, waited: 0});
    this.pace = null;  // Time per unit of cost, a moving average.
  }

  // Takes the time of a frame; returns the number of the next sub-network.
  update(time) {
    const pace = time / this.costs[this.level];
    this.pace = this.pace === null ? pace : 0.7 * this.pace + 0.3 * pace;
    const fits = this.largestWithin(this.budget);
    if (fits > this.level) {  // A cheaper one.
      this.level = fits;
      this.waited = 0;
    } else if (this.largestWithin(this.room * this.budget) < this.level) {
      this.waited += 1;
      if (this.waited >= this.patience) {
        this.level -= 1;
        this.waited = 0;
      }
    } else {
      this.waited = 0;
    }
    return this.level;
  }

  largestWithin(time) {
    const level = this.costs.findIndex((cost) => cost * this.pace <= time);
    return level < 0 ? this.costs.length - 1 : level;
  }
}

// The names of a bundle's signatures and their costs, the most expensive first, from its
// `.slices.json`: latencies on a device that it was measured on, or else FLOPs.
export function ofSlices(slices, device = null) {
  const cost = (one) => device === null ? one.flops : one.latency_ms[device];
  if (slices.some((one) => cost(one) == null)) {
    throw new Error('No costs: give a device that the bundle was measured on.');
  }
  const sorted = slices.toSorted((one, other) => cost(other) - cost(one));
  return {names: sorted.map((one) => one.signature), costs: sorted.map(cost)};
}
