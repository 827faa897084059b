// Keeps a frame time by switching between the sub-networks of a bundle: to copy.

// It steps down as soon as a frame would take too long, and up only after `patience`
// frames that all had room for it. `costs` are those of the sub-networks, the dearest
// first, in any unit; `budget` is the time that a frame may take.
export class Controller {
  constructor(costs, budget, {patience = 20, room = 0.85} = {}) {
    Object.assign(this, {costs, budget, patience, room, level: 0, waited: 0});
    this.pace = null;  // Time a unit of cost, a moving average.
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
