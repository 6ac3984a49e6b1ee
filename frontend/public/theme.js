// Runs before the first paint: puts the chosen theme, spacing and language on <html>, so that a dark page
// never flashes white and an Arabic one never starts at the left. The same choices as src/theme.ts,
// src/settings.ts and src/i18n/language.ts make afterwards.
// A file of its own because the content security policy allows no inline script.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("chat.theme"); // "light", "dark", or nothing: as the system says
  } catch {
    // Storage is switched off: the system decides.
  }
  var dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";

  try {
    var settings = JSON.parse(localStorage.getItem("chat.settings"));
    document.documentElement.dataset.density = settings && settings.density === "compact" ? "compact" : "cosy";
  } catch {
    document.documentElement.dataset.density = "cosy";
  }

  var known = ["en", "de", "ar"];
  var language = null;
  try {
    language = localStorage.getItem("chat.language");
  } catch {
    // The browser's languages decide.
  }
  if (!known.includes(language)) {
    language = navigator.languages.map(function (tag) { return tag.toLowerCase().split("-")[0]; }).find(function (base) { return known.includes(base); }) || "en";
  }
  document.documentElement.lang = language;
  document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
})();
