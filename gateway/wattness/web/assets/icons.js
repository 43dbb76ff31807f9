// Line icons of 24 × 24, drawn by us; always beside a word, so hidden from readers.

import { svg } from "./dom.js";

const PATHS = {
  pv: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  battery: "M7 6h10a1 1 0 0 1 1 1v13a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1M10 3h4M12.5 10l-2.5 4h4l-2.5 4",
  grid: "M9 3h6l3 18M9 3L6 21M8 9h8M5 7h14M7.5 14h9M8.4 9l8.1 5M15.6 9l-8.1 5M7.5 14L18 21M16.5 14L6 21",
  load: "M3 11.5L12 4l9 7.5M5.5 9.8V20h13V9.8M10 20v-5h4v5",
  vehicle: "M4 17v-4l2-1 2-5h8l2 5 2 1v4zM4 17v2M20 17v2M7 12h10M7.5 14.8h.01M16.5 14.8h.01",
  charger:
    "M5 21V5a1 1 0 0 1 1-1h7a1 1 0 0 1 1 1v16M4 21h11M9.8 8l-1.6 3.5h3l-1.6 3.5M14 11h2a1.5 1.5 0 0 1 1.5 1.5V16a1.5 1.5 0 0 0 3 0V9l-3-3",
  now: "M13 3L5 13.5h6L10 21l9-11h-6.5z",
  history: "M4 4v16h16M7.5 15l3.5-4 3 2.5 5-6.5",
  boards:
    "M7 7h10v10H7zM10 10h4v4h-4zM9.5 7V3.5M14.5 7V3.5M9.5 20.5V17M14.5 20.5V17M7 9.5H3.5M7 14.5H3.5M20.5 9.5H17M20.5 14.5H17",
  quality: "M12 3l7 2.5v5.5c0 4.5-3 8-7 10-4-2-7-5.5-7-10V5.5zM8.8 11.8l2.3 2.3 4.2-4.4",
  networks:
    "M12 4.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6M5.5 16.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6M18.5 16.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6M11 7.6l-4.6 8.8M13 7.6l4.6 8.8M7.3 18h9.4",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8v4.4M9 14.8v4.4",
  back: "M14.5 5.5L8 12l6.5 6.5",
  forward: "M9.5 5.5L16 12l-6.5 6.5",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  add: "M12 5v14M5 12h14",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.2h.01",
  leave: "M14 4H6v16h8M10.5 12H21M17.5 8.5L21 12l-3.5 3.5",
};

export function icon(name, size = 20) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", width: size, height: size, class: "icon", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.boards }),
  );
}
