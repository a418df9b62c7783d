/* Where a point of an image looks: the point is chosen on the image or by two sliders. */
for (const figure of all("figure.attention")) {
  const side = Number(figure.dataset.side);
  const images = figure.querySelector("img.images");
  const canvas = figure.querySelector("canvas.image");
  const chosen = figure.querySelector("select");
  const down = figure.querySelector(".down"), across = figure.querySelector(".across");
  const layers = all("img.maps", figure).map((maps, index) => ({
    maps, side: Number(maps.dataset.side), canvas: all("canvas.map", figure)[index],
  }));

  const show = () => {
    const index = Number(chosen.value);
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.drawImage(images, index * side, 0, side, side, 0, 0, side, side);
    const finest = Math.max(...layers.map((layer) => layer.side));
    const cell = (slider, positions) => Math.floor((slider.value / 100) * positions);
    const size = side / finest;
    context.fillStyle = "rgb(255, 60, 40)";
    context.fillRect(cell(across, finest) * size, cell(down, finest) * size, size, size);
    for (const layer of layers) {
      const positions = layer.side;
      const row = index * positions * positions + cell(down, positions) * positions + cell(across, positions);
      layer.canvas.width = layer.canvas.height = positions;
      const to = layer.canvas.getContext("2d");
      // A row of the picture of maps is one map, its rows one after the other.
      for (let line = 0; line < positions; line++) {
        to.drawImage(layer.maps, line * positions, row, positions, 1, 0, line, positions, 1);
      }
    }
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    across.value = Math.min(99, (100 * (event.clientX - box.left)) / box.width);
    down.value = Math.min(99, (100 * (event.clientY - box.top)) / box.height);
    show();
  });
  for (const control of [chosen, down, across]) control.addEventListener("input", show);
  Promise.all([images, ...layers.map((layer) => layer.maps)].map((image) => image.decode())).then(show);
}
