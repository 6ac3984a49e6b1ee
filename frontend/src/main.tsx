// Mounts the app. The only file that does something by being imported.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App, Surroundings } from "./App";
import { createClient } from "./client";
import { beginSpeaking } from "./i18n/language";
import "./index.css";
import { followSettings } from "./settings";
import { followTheme } from "./theme";

const element = document.getElementById("root");
if (element === null) throw new Error("index.html has no #root");
const root = createRoot(element);

followTheme();
followSettings();
// Every state of the screen without a server. The condition is constant in a production build, which
// therefore contains nothing of it.
if (import.meta.env.DEV && window.location.pathname === "/__gallery") {
  void Promise.all([import("./gallery/Gallery"), beginSpeaking()]).then(([{ Gallery }]) => root.render(<Surroundings><Gallery /></Surroundings>));
} else {
  const client = createClient();
  void beginSpeaking().then(() => root.render(<StrictMode><App client={client} /></StrictMode>));
}
