// The page's modules are one script: each sees the names of the others.
const browser = ["document", "window", "location", "history", "localStorage", "navigator", "fetch", "console", "performance"];
const more = ["getComputedStyle", "matchMedia", "addEventListener", "devicePixelRatio", "innerWidth", "innerHeight"];
const kinds = ["EventSource", "ResizeObserver", "IntersectionObserver", "TextDecoder", "URL", "URLSearchParams", "Blob", "Image", "ImageData", "CSS", "uPlot"];
const timers = ["setInterval", "clearInterval", "setTimeout", "clearTimeout", "requestAnimationFrame", "atob"];

export default [
  {
    languageOptions: {
      ecmaVersion: 2024,
      sourceType: "script",
      globals: Object.fromEntries([...browser, ...more, ...kinds, ...timers].map((name) => [name, "readonly"])),
    },
    rules: {
      "no-undef": "error",
      "no-redeclare": "error",
      "no-dupe-keys": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-unreachable": "error",
      "prefer-const": "error",
      "no-var": "error",
      eqeqeq: "error",
    },
  },
];
