// The second half of the page: a bundle that keeps a frame time.

import {Controller} from './controller.js';
import {area, pixels} from './pixels.js';

const element = (id) => document.getElementById(id);

// What is shown: the camera of the back; where the browser allows none, photos of a
// file input, and a drawing that moves until there is one.
async function source(crop) {
  const shown = {draw: drawing, isReal: false};
  const take = (image, width, height) => {
    shown.isReal = true;
    shown.draw = (context, w, h) => {
      context.imageSmoothingQuality = 'high';
      context.drawImage(image, ...area(width(), height(), crop), 0, 0, w, h);
    };
  };
  element('photo').onchange = async ({target}) => {
    const image = await createImageBitmap(target.files[0]);  // Upright, by its EXIF.
    take(image, () => image.width, () => image.height);
    element('source').textContent = 'Your photo.';
  };
  if (!navigator.mediaDevices) {
    element('source').textContent = 'No camera: browsers give it only to pages over ' +
        'https or of the same machine. Take a photo instead; this is a drawing.';
    return shown;
  }
  try {
    const video = document.createElement('video');
    video.srcObject = await navigator.mediaDevices.getUserMedia(
        {video: {facingMode: 'environment'}});
    video.muted = video.playsInline = true;
    await video.play();
    take(video, () => video.videoWidth, () => video.videoHeight);
    element('source').textContent = 'Your camera.';
  } catch (error) {
    element('source').textContent =
        `No camera (${error.message}). Take a photo instead; this is a drawing.`;
  }
  return shown;
}

function drawing(context, width, height, frame) {
  context.fillStyle = `hsl(${frame % 360} 60% 50%)`;
  context.fillRect(0, 0, width, height);
  context.fillStyle = 'white';
  const x = width * (0.5 + 0.3 * Math.sin(frame / 30));
  context.fillRect(x, height / 4, width / 5, height / 2);
}

// A sub-network as a bar for each stage, as high as its scale factor.
function drawn(name) {
  const factors = name.split('_').slice(1).map(Number);
  element('stages').replaceChildren(...factors.map((factor) => {
    const bar = document.createElement('span');
    bar.style.height = `${3 * factor}rem`;
    bar.title = String(factor);
    return bar;
  }));
}

export async function show(job, model, input, call, isOver) {
  const runners = job.names.map((name) => model.signatures[name]);
  const [details] = runners[0].getInputDetails();
  const shape = Array.from(details.shape);
  const canvas = element('camera');
  [canvas.height, canvas.width] = shape.slice(1, 3);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const shown = await source(job.crop);
  const slider = element('budget');
  slider.min = 0.5 * Math.min(...job.costs);
  slider.max = 4 * Math.max(...job.costs);  // Single frames are slower than many.
  slider.step = 'any';
  slider.value = slider.max;
  const controller = new Controller(job.costs, Number(slider.value));
  element('show').hidden = false;
  for (let frame = 0; !isOver(); frame++) {
    shown.draw(context, canvas.width, canvas.height, frame);
    const range = details.dtype === 'uint8' ? [0, 255] : job.range;
    const tensor = input(details, pixels(context, shape, range));
    const level = controller.level;
    const start = performance.now();
    const scores = await call(runners[level], [tensor], true);
    const time = performance.now() - start;
    tensor.delete();
    controller.budget = Number(slider.value);
    controller.update(time);
    if (frame % 10 === 0) {
      const best = scores.indexOf(Math.max(...scores));
      const answer = job.labels[best] ?? `class ${best}`;
      element('answer').textContent = shown.isReal ? answer : '';
      element('now').textContent =
          `${job.names[level]}: ${time.toFixed(2)} ms of ${controller.budget.toFixed(2)}`;
      drawn(job.names[level]);
    }
    await new Promise(requestAnimationFrame);
  }
  element('show').hidden = true;
}
