// A labelled line of text with an optional hint; passwords can be shown.
import clsx from "clsx";
import { Eye, EyeOff } from "lucide-react";
import { useId, useState, type ComponentProps } from "react";
import { t } from "../../i18n/text";
import { IconButton } from "./IconButton";

interface TextFieldProps extends Omit<ComponentProps<"input">, "id"> {
  label: string;
  hint?: string;
  type?: "text" | "password";
}

export function TextField({ label, hint, type = "text", className, ...rest }: TextFieldProps) {
  const id = useId();
  const [shown, setShown] = useState(false);
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1 block text-[0.8125rem] font-medium">{label}</label>
      <div className="relative">
        <input
          id={id}
          type={type === "password" && shown ? "text" : type}
          aria-describedby={hint === undefined ? undefined : `${id}-hint`}
          className={clsx(
            "block h-11 w-full rounded-control border border-field bg-canvas px-3 text-text",
            // 16 px on touch, or iOS zooms into the field.
            "pointer-coarse:text-base",
            type === "password" && "pe-12",
          )}
          {...rest}
        />
        {type === "password" && (
          <IconButton
            label={t(shown ? "login.hidePassword" : "login.showPassword")}
            icon={shown ? EyeOff : Eye}
            className="absolute end-1 top-1 pointer-coarse:top-0"
            onClick={() => setShown(!shown)}
          />
        )}
      </div>
      {hint !== undefined && <p id={`${id}-hint`} className="mt-1 text-meta text-muted">{hint}</p>}
    </div>
  );
}
