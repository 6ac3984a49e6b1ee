// The rules a compiler cannot hold: who may import whom, and what never appears in this code.
//
//   components, screens → hooks → client → { ws, api, persist, model, store } → protocol → model/types
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const react = {
  group: ["react", "react-dom", "react/*", "react-dom/*", "@base-ui/*", "@tanstack/react-*", "lucide-react"],
  message: "Only hooks and what stands right of them know React.",
};
const screen = {
  group: ["**/hooks/*", "**/components/*", "**/components/**", "**/a11y/*", "**/App*", "**/main*"],
  message: "The library does not know its screen.",
};
const wiring = {
  group: ["**/client", "**/client.ts", "**/client/*", "**/ws", "**/ws.ts", "**/api", "**/api.ts", "**/persist", "**/persist.ts"],
  message: "Take it from a hook: components know `model/types` and `hooks`, nothing of the wire.",
};
const clientOnly = { group: ["**/client", "**/client.ts", "**/client/*"], message: "The client wires this file, not the other way round." };
const doors = {
  group: ["**/ws", "**/ws.ts", "**/api", "**/api.ts", "**/persist", "**/persist.ts"],
  message: "The model is pure: values in, values out.",
};
const BARE = "Sentences come from the catalogues: t() or rich() of src/i18n/text.ts.";
const SHOWN = "JSXAttribute[name.name=/^(aria-label|aria-description|aria-roledescription|alt|title|label|placeholder|hint|description|action|beginning|detail)$/]";
/** What a person reads is in no file but the catalogues. A letter is what makes it a word. */
const noBareWords = {
  files: ["src/**/*.tsx"],
  ignores: ["**/*.test.tsx", "src/gallery/**", "src/test/**"],
  rules: {
    "no-restricted-syntax": [
      "error",
      { selector: "JSXText[value=/\\p{L}/u]", message: BARE },
      // Between tags, and in the attributes that are read out or shown; also as one of two, or with values in it.
      ...[":matches(JSXElement, JSXFragment) > JSXExpressionContainer", `${SHOWN} > JSXExpressionContainer`].flatMap((place) => [
        { selector: `${place} > Literal[value=/\\p{L}/u]`, message: BARE },
        { selector: `${place} > :matches(ConditionalExpression, LogicalExpression) > Literal[value=/\\p{L}/u]`, message: BARE },
        { selector: `${place} > TemplateLiteral > TemplateElement[value.raw=/\\p{L}{2}/u]`, message: BARE },
        { selector: `${place} > :matches(ConditionalExpression, LogicalExpression) > TemplateLiteral > TemplateElement[value.raw=/\\p{L}{2}/u]`, message: BARE },
      ]),
      { selector: `${SHOWN} > Literal[value=/\\p{L}/u]`, message: BARE },
      // An Arabic screen is the same one, mirrored. What stands at one side in any language says so as `rtl:` too.
      ...["Literal[value", "TemplateElement[value.raw"].map((text) => ({
        selector: `JSXAttribute[name.name='className'] ${text}=/(?:^|[\\s:])-?(?:m[lr]|p[lr]|left|right|scroll-[mp][lr]|border-[lr]|rounded-(?:[lr]|[tb][lr])|text-(?:left|right))(?:-(?!shadow)|\\s|$)/u]`,
        message: "Logical sides: start and end, not left and right.",
      })),
      { selector: "ReturnStatement > Literal[value=/^\\p{Lu}.*\\p{L}/u]", message: BARE },
    ],
  },
};
const store = { group: ["**/store", "**/store.ts"], message: "The model is pure: values in, values out." };

const layer = (files, ...patterns) => ({
  files,
  ignores: ["**/*.test.ts", "**/*.test.tsx"],
  rules: { "@typescript-eslint/no-restricted-imports": ["error", { patterns }] },
});

/** What only a browser or a clock has; where it is needed, it is handed in. */
const noSurroundings = (files) => ({
  files,
  ignores: ["**/*.test.ts"],
  rules: {
    "no-restricted-globals": [
      "error",
      ..."window document navigator localStorage sessionStorage indexedDB fetch WebSocket BroadcastChannel setTimeout setInterval clearTimeout clearInterval performance crypto process"
        .split(" ")
        .map((name) => ({ name, message: "This file is handed its surroundings." })),
    ],
    "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: "Randomness is handed in." },
        { object: "Date", property: "now", message: "Time is handed in." },
      ],
  },
});

export default tseslint.config(
  { ignores: ["dist", "node_modules", "test-results", "playwright-report", "public"] },
  tseslint.configs.recommended,
  {
    files: ["**/*.ts", "**/*.tsx"],
    plugins: { "react-hooks": reactHooks },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/consistent-type-assertions": ["error", { assertionStyle: "never" }],
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
      eqeqeq: "error",
    },
  },
  layer(["src/model/**/*.ts"], react, screen, clientOnly, doors, store),
  layer(["src/protocol.ts", "src/shape.ts", "src/store.ts"], react, screen, clientOnly, doors),
  layer(["src/ws.ts", "src/api.ts", "src/persist.ts"], react, screen, clientOnly),
  layer(["src/client.ts", "src/client/**/*.ts"], react, screen),
  layer(["src/components/**", "src/a11y/**", "src/screens/**"], wiring),
  noSurroundings(["src/model/**/*.ts", "src/protocol.ts", "src/shape.ts", "src/store.ts", "src/ws.ts", "src/api.ts"]),
  noBareWords,
  {
    // The edge makes branded ids out of strings; tests make up what they need.
    files: ["src/protocol.ts", "src/test/**", "**/*.test.ts", "**/*.test.tsx", "e2e/**"],
    rules: {
      "@typescript-eslint/consistent-type-assertions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
