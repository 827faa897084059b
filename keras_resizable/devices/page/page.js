// Runs what the server sends, and sends back how long that took.

import {show} from './show.js';

const page = Array.from({length: 4}, () => Math.random().toString(36).slice(2)).join('');
const SHORTEST_MS = 5;  // A browser's clock may tell 0.1 ms apart only.
const ARRAYS = {
  float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array,
};

const element = (id) => document.getElementById(id);
const say = (text) => { element('state').textContent = text; };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function get(path, kind = 'json') {
  const response = await fetch(path, {headers: {'X-Page': page}, cache: 'no-store'});
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return kind === 'json' ? response.json() : response.arrayBuffer();
}

function post(answer) {
  const body = JSON.stringify(answer);
  return fetch('answer', {method: 'POST', headers: {'X-Page': page}, body});
}

let runtime;
let loadedThreads = 0;

async function load(threads) {
  if (typeof WebAssembly === 'undefined') throw new Error('it has no WebAssembly');
  if (threads > 1 && !crossOriginIsolated) {
    throw new Error(`${threads} threads take a page of this machine, or https`);
  }
  runtime ??= await import('@litertjs/core');
  if (loadedThreads && (loadedThreads > 1) !== (threads > 1)) {
    runtime.unloadLiteRt();
    loadedThreads = 0;
  }
  if (!loadedThreads) await runtime.loadLiteRt('litert/core/wasm/', {threads: threads > 1});
  loadedThreads = threads;
}

function input(details, data) {
  const shape = Array.from(details.shape);
  const size = shape.reduce((one, other) => one * other, 1);
  const kind = ARRAYS[details.dtype];
  const array = data ? new kind(data) : kind.from({length: size}, (_, n) => n * 37 % 255);
  return new runtime.Tensor(array, shape);
}

async function call(runner, inputs, reads) {
  const outputs = await runner.run(inputs);
  const values = reads ? Array.from(await outputs[0].data()) : null;
  outputs.forEach((output) => output.delete());
  return values;
}

const quantile = (sorted, part) => sorted[Math.round(part * (sorted.length - 1))];

async function time(job, runner, initMs) {
  const inputs = runner.getInputDetails().map((details) => input(details));
  const reads = job.accelerator === 'webgpu';  // Which waits for the result.
  const lasted = async (count) => {
    const start = performance.now();
    for (let n = 0; n < count; n++) await call(runner, inputs, reads);
    return (performance.now() - start) / count;
  };
  const firstMs = await lasted(1);
  for (let n = 0; n < job.warmup; n++) await lasted(1);
  let count = 1;
  while (count < 1000 && await lasted(count) * count < SHORTEST_MS) count *= 2;
  const times = [];
  for (let n = 0; n < job.runs; n++) {
    times.push(await lasted(count));
    element('progress').value = (n + 1) / job.runs;
    if (n % 10 === 9) await sleep(0);
  }
  inputs.forEach((tensor) => tensor.delete());
  times.sort((one, other) => one - other);
  return {
    median_ms: quantile(times, 0.5), p5_ms: quantile(times, 0.05),
    p95_ms: quantile(times, 0.95), first_ms: firstMs, init_ms: initMs,
  };
}

async function answers(job, runner) {
  const [details] = runner.getInputDetails();
  const images = new ARRAYS[details.dtype](await get('images', 'bytes'));
  const size = images.length / job.count;
  const outputs = [];
  for (let n = 0; n < job.count; n++) {
    const tensor = input(details, images.slice(n * size, (n + 1) * size));
    outputs.push(await call(runner, [tensor], true));
    tensor.delete();
    element('progress').value = (n + 1) / job.count;
  }
  return outputs;
}

async function run(job) {
  await load(job.threads ?? 1);
  const bytes = new Uint8Array(await get('model', 'bytes'));
  const start = performance.now();
  const cpuOptions = {numThreads: job.threads ?? 1};
  const model = await runtime.loadAndCompile(
      bytes, {accelerator: job.accelerator, cpuOptions});
  const initMs = performance.now() - start;
  try {
    const names = Object.keys(model.signatures);
    if (job.names) {
      const isOver = () => open !== job.number;
      await show(job, model, input, call, isOver);
      return null;
    }
    if (job.images) {
      const runner = job.signature ? model.signatures[job.signature] : model;
      if (!runner) throw new Error(`there is no signature ${job.signature}`);
      return {outputs: await answers(job, runner)};
    }
    const signatures = [];
    for (const name of names.length > 1 ? names : [null]) {
      const runner = name === null ? model : model.signatures[name];
      const measured = await time(job, runner, initMs);
      signatures.push({signature: name, ...measured});
      const row = element('results').insertRow(0);
      row.insertCell().textContent = `${job.number} ${name ?? ''}`;
      row.insertCell().textContent = `${measured.median_ms.toFixed(3)} ms`;
    }
    return {signatures};
  } finally {
    model.delete();
  }
}

let done = 0;
let failed = false;  // Whether the last job did.
let open = 0;  // The job that the server waits for.
setInterval(async () => {  // Which also says that this page is still there.
  const job = await get('job').catch(() => ({}));
  open = job.number ?? 0;
}, 1000);
for (;;) {
  try {
    const job = await get('job');
    open = job.number ?? 0;
    if (job.busy) {
      say('Another browser is measuring.');
    } else if (job.number && job.number !== done) {
      say(job.names ? 'Showing a bundle.' : `Running file ${job.number}.`);
      let answer;
      failed = true;  // Until the answer has arrived.
      try {
        answer = await run(job);
      } catch (error) {
        answer = {error: String(error?.message ?? error)};
      }
      done = job.number;
      if (answer) await post({number: job.number, ...answer});
      failed = Boolean(answer?.error);
      continue;
    } else {
      say(done ? 'Waiting for the next file.' : 'Waiting for a file.');
    }
  } catch {
    say(done && !failed ? 'Done. The computer has all results.' :
        'The computer does not answer. It has stopped, or the network is gone.');
  }
  await sleep(300);
}
