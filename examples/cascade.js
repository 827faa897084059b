// Answers an image by a cheap sub-network, or by a more expensive one: to copy.

// For a file that `adapt.to_tflite` has written of a `Cascade`: `thresholds` are those of
// its metadata, and `run` takes the number of a sub-network, in the order of `routes`,
// and returns a promise of its probabilities.
export async function cascade(run, thresholds) {
  for (let number = 0; ; number++) {
    const scores = await run(number);
    const confidence = Math.max(...scores);
    if (number === thresholds.length || confidence >= thresholds[number]) {
      return {scores, number};
    }
  }
}
