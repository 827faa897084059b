// Classifies an image by a cheap sub-network or a more expensive one; copy it.

// For a file that `adapt.to_tflite` wrote from a `Cascade`: `thresholds` are in its
// metadata; `run` takes the number of a sub-network, in the order of `routes`, and returns
// a promise of its probabilities.
export async function cascade(run, thresholds) {
  for (let number = 0; ; number++) {
    const scores = await run(number);
    const confidence = Math.max(...scores);
    if (number === thresholds.length || confidence >= thresholds[number]) {
      return {scores, number};
    }
  }
}
