/* Generators that run in the page: unpacked and started when somebody asks for it. */
const packed = (id) => document.getElementById(id).textContent;

async function unpack(id) {
  const bytes = await fetch(`data:application/octet-stream;base64,${packed(id)}`);
  return new Uint8Array(await new Response(bytes.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

/* What `pack_numbers` in libraries.py has taken apart: first bytes of all numbers, then second ones, and so on. */
function together(planes) {
  const bytes = new Uint8Array(planes.length);
  let read = 0;
  for (let plane = 0; plane < 4; plane++) {
    for (let place = plane; place < bytes.length; place += 4) bytes[place] = planes[read++];
  }
  return bytes;
}

let runtime = null;
async function startRuntime() {
  if (runtime) return runtime;
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await unpack("runtime"));
  document.head.append(script);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = (await unpack("runtime-binary")).buffer;
  ort.env.wasm.wasmPaths = { mjs: `data:text/javascript;base64,${packed("runtime-loader")}` };
  return (runtime = ort);
}

/* From one latent to another: at equal angles on the sphere, with lengths between theirs; or straight. */
function between(one, other, share, onSphere) {
  const straight = () => one.map((value, index) => (1 - share) * value + share * other[index]);
  if (!onSphere || share === 0 || share === 1) return straight();
  const length = (vector) => Math.hypot(...vector);
  const [a, b] = [length(one), length(other)];
  const cosine = one.reduce((sum, value, index) => sum + value * other[index], 0) / (a * b);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  if (angle < 1e-4 || Math.PI - angle < 1e-4) return straight();
  const [of, to] = [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  const wanted = (1 - share) * a + share * b;
  return one.map((value, index) => wanted * ((of * value) / a + (to * other[index]) / b));
}

function randomLatent(size, distribution) {
  const uniform = () => 1 - Math.random(); // never 0
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Array.from({ length: size }, distribution === "uniform" ? () => 2 * uniform() - 1 : normal);
}

const explorer = document.getElementById("explorer");
if (explorer.querySelector("form")) {
  const part = (name) => document.getElementById(`explorer-${name}`);
  const ends = [part("from"), part("to")];
  let model = null; // {session, latents, distribution, classes, chosen}
  let running = false, again = false;

  const draw = async () => {
    if (running) { again = true; return; }
    running = true;
    do {
      again = false;
      const share = part("between").value / 100;
      part("share").textContent = `${part("between").value} %`;
      const [one, other] = ends.map((end) => model.latents[end.value]);
      const z = between(one, other, share, model.distribution === "normal");
      const inputs = { z: new ort.Tensor("float32", Float32Array.from(z), [1, z.length]) };
      if (model.classes.length) {
        const told = new Float32Array(model.classes.length);
        told[model.chosen] = 1;
        inputs.condition = new ort.Tensor("float32", told, [1, told.length]);
      }
      const { images } = await model.session.run(inputs);
      paint(images);
    } while (again);
    running = false;
  };

  /* float32 (1, C, H, W) in [-1, 1] as pixels. */
  const paint = ({ data, dims: [, channels, height, width] }) => {
    const canvas = part("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    for (let place = 0; place < width * height; place++) {
      for (let colour = 0; colour < 3; colour++) {
        const value = data[(channels === 1 ? 0 : colour) * width * height + place];
        pixels.data[4 * place + colour] = Math.round((value + 1) * 127.5); // clamped to 0 and 255 by its type
      }
      pixels.data[4 * place + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    canvas.dataset.drawn = Number(canvas.dataset.drawn || 0) + 1;
  };

  const offerEnds = () => {
    ends.forEach((end, place) => {
      end.replaceChildren(...model.latents.map((_, index) => new Option(index < model.given ? `image ${index + 1}` : `random ${index - model.given + 1}`, index)));
      end.value = Math.min(place, model.latents.length - 1);
    });
  };

  const offerClasses = () => {
    const field = part("classes");
    field.hidden = model.classes.length === 0;
    all("button", field).forEach((button) => button.remove());
    model.classes.forEach((name, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", index === model.chosen);
      button.addEventListener("click", () => {
        model.chosen = index;
        all("button", field).forEach((other) => other.setAttribute("aria-pressed", other === button));
        draw();
      });
      field.append(button);
    });
  };

  const start = async () => {
    const name = part("variant").value;
    part("status").textContent = "Starting…";
    try {
      const { InferenceSession } = await startRuntime();
      const session = await InferenceSession.create(together(await unpack(`onnx-${name}`)));
      const known = JSON.parse(packed(`latents-${name}`));
      model = { session, ...known, given: known.latents.length, chosen: 0 };
      offerEnds();
      offerClasses();
      part("between").value = 0;
      explorer.querySelector(".stage").hidden = false;
      await draw();
      part("status").textContent = `${name} runs in this page`;
    } catch (error) {
      part("status").textContent = `This browser cannot run it: ${error.message}`;
    }
  };

  explorer.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  part("variant").addEventListener("change", () => model && start());
  for (const control of [...ends, part("between")]) control.addEventListener("input", draw);
  part("random").addEventListener("click", () => {
    const size = model.latents[0].length;
    model.latents.push(randomLatent(size, model.distribution), randomLatent(size, model.distribution));
    offerEnds();
    ends[0].value = model.latents.length - 2;
    ends[1].value = model.latents.length - 1;
    draw();
  });
}
