// The colour of a path. The server computes a hue from the path. Here it becomes a colour with enough contrast to the
// background and to text on it, in light and dark mode. OKLCH gives every hue the same lightness.
// https://www.w3.org/TR/css-color-4/#ok-lab

// Neighbouring hues also differ in lightness and chroma, so that paths with similar hues look different.
const LIGHT = { lightness: [0.53, 0.44, 0.615], chroma: [0.13, 0.075] };
const DARK = { lightness: [0.74, 0.65, 0.84], chroma: [0.125, 0.065] };
// On lighter colours, dark text is easier to read than white text.
const PALE = 0.57;
const scheme = matchMedia("(prefers-color-scheme: dark)");
// Kept in a variable, because it is read for every bar.
let isDarkNow = scheme.matches;
scheme.addEventListener("change", () => (isDarkNow = scheme.matches));
const made = new Map();

export const isDark = () => isDarkNow;
export const whenSchemeChanges = (listener) => scheme.addEventListener("change", listener);

/** The colour of a hue, as `#rrggbb`. */
export function colour(hue) {
  const key = isDark() ? hue + 1000 : hue;
  if (!made.has(key)) made.set(key, hex(hue, look(hue)));
  return made.get(key);
}

/** The colour for text on the colour of a hue. */
export const textOn = (hue) => (look(hue).lightness < PALE ? "#ffffff" : "#101216");

function look(hue) {
  const { lightness, chroma } = isDark() ? DARK : LIGHT;
  return { lightness: lightness[hue % lightness.length], chroma: chroma[hue % chroma.length] };
}

/** A colour of the style sheet, by its name, such as `--muted`. */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function hex(hue, { lightness, chroma }) {
  // A colour that the screen cannot show loses chroma, so that it keeps its hue.
  for (let c = chroma; c > 0; c -= 0.005) {
    const rgb = linear(lightness, c, (hue * Math.PI) / 180);
    if (rgb.every((part) => part >= -0.0005 && part <= 1.0005)) return `#${rgb.map(byte).join("")}`;
  }
  return "#808080";
}

function linear(lightness, chroma, angle) {
  const a = chroma * Math.cos(angle);
  const b = chroma * Math.sin(angle);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function byte(part) {
  const bounded = Math.min(1, Math.max(0, part));
  const encoded = bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055;
  return Math.round(encoded * 255).toString(16).padStart(2, "0");
}
