// Classifies photos, or what the camera sees, by the .tflite file beside this page.

import {area, pixels} from './pixels.js';

const SHOWN = 5;
const ARRAYS = {float32: Float32Array, uint8: Uint8Array};
const element = (id) => document.getElementById(id);
const say = (text) => { element('state').textContent = text; };

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

const settings = await (await fetched('settings.json')).json();
const labels = (await (await fetched('labels.txt')).text()).trimEnd().split('\n');
const bytes = new Uint8Array(await (await fetched('model.tflite')).arrayBuffer());
const runtime = await import('@litertjs/core');
await runtime.loadLiteRt('litert/core/wasm/', {threads: false});
const model = await runtime.loadAndCompile(bytes, {accelerator: 'wasm'});
const [details] = model.getInputDetails();
const shape = Array.from(details.shape);
const canvas = element('seen');
[canvas.height, canvas.width] = shape.slice(1, 3);
const context = canvas.getContext('2d', {willReadFrequently: true});
context.imageSmoothingQuality = 'high';

element('title').textContent = settings.title;
const slider = element('threshold');
slider.value = settings.threshold ?? 0;
let shown = null;  // The last photo, or the camera: an image, its width and height.

async function classify() {
  const [image, width, height] = shown;
  context.drawImage(
      image, ...area(width(), height(), settings.crop), 0, 0, canvas.width, canvas.height);
  const range = details.dtype === 'uint8' ? [0, 255] : settings.range;
  const values = pixels(context, shape, range);
  const tensor = new runtime.Tensor(new ARRAYS[details.dtype](values), shape);
  const [output] = await model.run([tensor]);
  const scores = Array.from(await output.data()).map(
      (value) => (value - settings.zero_point) * settings.scale);
  output.delete();
  tensor.delete();
  show(scores.length === 1 ? [1 - scores[0], scores[0]] : scores);
}

function show(scores) {
  const order = scores.map((_, n) => n).sort((one, other) => scores[other] - scores[one]);
  const best = order[0];
  const isSure = scores[best] >= Number(slider.value);
  element('answer').textContent = isSure ? labels[best] : 'unknown';
  element('scores').replaceChildren(...order.slice(0, SHOWN).map((n) => {
    const row = document.createElement('li');
    const [name, meter, share] = ['span', 'meter', 'span'].map(
        (kind) => document.createElement(kind));
    name.textContent = labels[n];
    meter.value = scores[n];
    share.textContent = `${(100 * scores[n]).toFixed(0)} %`;
    row.append(name, meter, share);
    return row;
  }));
}

function told(action) {
  return (...values) => action(...values).catch((error) => say(error.message));
}

element('photo').onchange = told(async ({target}) => {
  const image = await createImageBitmap(target.files[0]);  // Upright, by its EXIF data.
  shown = [image, () => image.width, () => image.height];
  say('Your photo.');
  await classify();
});

element('camera').onclick = told(async () => {
  if (!navigator.mediaDevices) {
    say('Browsers give the camera only to pages over https or from this computer. ' +
        'Take a photo instead.');
    return;
  }
  const video = document.createElement('video');
  video.srcObject = await navigator.mediaDevices.getUserMedia(
      {video: {facingMode: 'environment'}});
  video.muted = video.playsInline = true;
  await video.play();
  const camera = [video, () => video.videoWidth, () => video.videoHeight];
  shown = camera;
  say('Your camera.');
  while (shown === camera) {
    await classify();
    await new Promise(requestAnimationFrame);
  }
  video.srcObject.getTracks().forEach((track) => track.stop());
});

slider.oninput = () => {
  element('least').textContent = Number(slider.value).toFixed(3);
  if (shown) classify();
};
slider.oninput();
say('Ready: choose a photo, or use the camera.');
