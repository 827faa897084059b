// From a photo on a canvas to the input of a file.

// What evaluation sees: the central square, of a part of the shorter side, or all.
export function area(width, height, crop) {
  if (!crop) return [0, 0, width, height];
  const side = Math.max(Math.trunc(crop * Math.min(width, height)), 1);
  return [Math.trunc((width - side) / 2), Math.trunc((height - side) / 2), side, side];
}

// Pixels as the file takes them, in gray or in colours, from `low` to `high`.
export function pixels(context, [, height, width, channels], [low, high]) {
  const {data} = context.getImageData(0, 0, width, height);
  const values = new Float32Array(height * width * channels);
  for (let n = 0; n < height * width; n++) {
    const colours = [data[4 * n], data[4 * n + 1], data[4 * n + 2]];
    const gray = (colours[0] + colours[1] + colours[2]) / 3;
    for (let c = 0; c < channels; c++) {
      const value = channels === 1 ? gray : colours[c];
      values[n * channels + c] = low + (high - low) * value / 255;
    }
  }
  return values;
}
